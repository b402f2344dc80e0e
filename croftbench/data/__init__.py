"""Where images are: on the user's disk in any known layout, or in the package."""
