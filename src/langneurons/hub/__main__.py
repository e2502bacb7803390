"""``python -m langneurons.hub commit NAME``: the commit of a repository, to pin it."""

import sys

from langneurons.hub.errors import main

sys.exit(main(sys.argv[1:]))
