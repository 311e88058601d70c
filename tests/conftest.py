"""For every room: the tests' processes are interruptible, however the suite was started."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # `nohup … &` and some build servers start us with SIGINT ignored, and children inherit that:
    # a bot or a guard that is sent one at the end of its test would never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
