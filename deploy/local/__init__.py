"""The local stack: Triton and the gateway as plain processes of this machine.

`python -m deploy.local up | status | down | demo`; the Makefile calls it.  A `Service` says how a
process is started and probed, `Stack` starts, watches and stops some of them, and everything that
is kept between two commands (process ids, ports, logs) lies in one run directory.
"""
