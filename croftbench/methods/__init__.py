"""The methods, one file each; the file is the paper."""
