"""Speed against peers: `make bench`."""

SHORT_HELP = "a minute or less, to see that it runs to its end: the figures mean little"
