"""How long a rank may take for what, and how often a row may end its group.

One place, since they depend on each other and on the probes of deploy/kubernetes: a group that
hangs has to be gone before the pod is restarted for it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """All in seconds, except the numbers of deaths.

    `beat`: how often a rank tells that it lives. `silence`: without a word for so long its process
    is stopped or gone, and its group is killed. `round`: so long a lane may take to come round, be
    it for the longest encoder run; beyond it what computes hangs, such as a collective whose peer
    is gone. `load`: until a group has to be ready. `comeback`: so long callers wait while no group
    lives, before they get their rows back and the front ends. `stop`: how long what runs may take
    to end. `lasting`: a group that has lived so long is started anew at once, another one after a
    pause that doubles from `pause` to `longest_pause`.

    A row that was begun by `suspect_deaths` groups that died runs without another such row beside
    it from then on; at `most_deaths` it ends with an error, since it may be why.
    """

    beat: float = 0.2
    silence: float = 6.0
    round: float = 30.0
    load: float = 1200.0
    comeback: float = 60.0
    stop: float = 5.0
    lasting: float = 60.0
    pause: float = 1.0
    longest_pause: float = 30.0
    suspect_deaths: int = 2
    most_deaths: int = 3

    def pause_after(self, lived: float, failures: int) -> float:
        """How long a group rests that lived so long, after so many that did not last."""
        if lived >= self.lasting or failures == 0:
            return 0.0
        return min(self.longest_pause, self.pause * 2.0 ** (failures - 1))
