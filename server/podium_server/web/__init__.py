"""The page that shows results in a browser. `make page` builds its files from the folder `page`."""

import gzip
import hashlib
from importlib.resources import files
from typing import NamedTuple

__all__ = ["PageFile", "page_files"]

_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


class PageFile(NamedTuple):
    """A file that browsers load."""

    content_type: str
    content: bytes
    compressed: bytes
    """The content of the file, compressed with gzip."""
    etag: str


def page_files() -> dict[str, PageFile]:
    """Returns the files of the page by their paths. The page itself is at `/`."""
    found = {}
    for item in (files(__name__) / "static").iterdir():
        path = "/" if item.name == "index.html" else f"/{item.name}"
        found[path] = _page_file(item.name, item.read_bytes())
    return found


def _page_file(name: str, content: bytes) -> PageFile:
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    content_type = _TYPES[name.rpartition(".")[2]]
    return PageFile(content_type, content, gzip.compress(content, mtime=0), etag)
