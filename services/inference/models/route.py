"""Which variant serves a call, and which one goes on when that is lost."""

from services.inference.errors import ModelNotReadyError, ServiceError
from services.inference.models.catalogue import Catalogue


class Route:
    """The way of one call from variant to variant of a model.

    `asked` is what the caller named: a caller who named a variant gets that one or none.
    """

    def __init__(self, catalogue: Catalogue, variant: str, asked: str) -> None:
        self.variant = variant
        self._catalogue = catalogue
        self._asked = asked

    def other(self, error: ServiceError) -> str:
        """The variant to go on with behind this error of the present one; "" to stay.

        A Triton that is away takes all its variants with it, and a model whose line is full is not
        lost.
        """
        if not isinstance(error, ModelNotReadyError) or error.retry_delay is not None:
            return ""
        other = self._catalogue.other(self.variant, self._asked)
        return other.name if other is not None else ""

    def take(self, variant: str) -> None:
        """Goes on with another variant; new calls pass over the lost one until it answers."""
        self._catalogue.lose_variant(self.variant)
        self.variant = variant
