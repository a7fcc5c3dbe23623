"""The threads that cut long texts: CPU work that would hold up the event loop."""

from services.foundation.pools import Pool

# They share one interpreter lock: more of them would cut no faster, and slow the event loop.
_THREADS = 2

CUTTING = Pool("cut", _THREADS)
