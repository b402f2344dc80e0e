"""The methods, one file each; the file is the paper."""

from croftbench.rooms import callable_room

callable_room(__name__)
