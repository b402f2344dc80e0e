"""A family that is met in every kind of layout, with the readings of class names that there are."""

ANIMALS = """
name = "animals"
title = "Three kinds of animal in two manners"
licence = "CC0-1.0"
homepage = ""
source = "made for tests"
citation = "@misc{animals, title={Animals}, year={2026}}"
classes = "animals.tsv"

[[parts]]
name = "photo"
images = 33
per_class = 11

[[parts]]
name = "art"
images = 33
per_class = 11

[[layouts]]
name = "ids"
kind = "folders"
at = ["ids"]
folders = { art = "Art Paintings" }

[[layouts]]
name = "names"
kind = "folders"
at = ["zoo/names"]
key = "name"
aliases = { "Big Cats" = "n2" }
ignore = ["README*"]

[[layouts]]
name = "numbers"
kind = "folders"
at = ["numbers"]
folders = { photo = ["PHOTO/train", "PHOTO/test"], art = "ART" }
key = "index"

[[layouts]]
name = "lists"
kind = "list"
at = ["lists"]
folder = "."
file = "splits/{part}_kfold.txt"
key = "index"
first = 1

[[layouts]]
name = "basenames"
kind = "list"
at = ["base"]
folder = "images/{part}"
file = "../lists of base/{part}.csv"
match = "name"
line = "path label -"

[[layouts]]
name = "positions"
kind = "list"
at = ["positions"]
folder = "{part}/flat"
file = "{part}.txt"
line = "label"

[[layouts]]
name = "stems"
kind = "list"
at = ["stems"]
folder = "{part}/images"
file = "{part}/trainval.txt"
line = "path"
extension = ".jpg"
key = "name"

[[layouts]]
name = "coop"
kind = "split-json"
at = ["coop"]
folder = "images/{part}"
file = "split_zhou_Animals.json"
key = "name"

[[layouts]]
name = "shards"
kind = "webdataset"
at = ["wds_animals/snapshots/*"]
key = "index"

[[layouts]]
name = "hub"
kind = "parquet"
at = ["hub"]
folder = "data/train-*.parquet"
columns = { part = "domain", label = "labels" }
take = { photo = "Photo", art = "Art" }
key = "name"

[[layouts]]
name = "hub-split"
kind = "parquet"
at = ["hub-split"]
folder = "data/{part}-*.parquet"
key = "index"
"""
CLASSES = "n10\taardvark\nn2\tlion\nn33\tsea_horse\n"
KINDS = "ids names numbers lists basenames positions stems coop shards hub hub-split".split()


def contents(roots, located):
    """(label, bytes) of every image, as suites would read them."""
    read = roots.reader(located.family.name)
    return [(label, read(path)) for label, path in zip(located.listing.labels.tolist(), located.paths, strict=True)]


def same_as_built(roots, built, split_id):
    located = roots.split(split_id)
    expected = built.parts[located.part.name]
    return sorted(contents(roots, located)) == sorted(expected)
