"""Language-specific neurons: finding, changing and training them, and measuring what that does to a task."""

import logging

# At its import bitsandbytes looks for kernels on the Hub, and warns on some CPUs that there are none: its own serve.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
