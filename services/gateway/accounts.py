"""What becomes of the account of a call that was answered."""

from services.gateway import metrics
from services.gateway.admission import PLACE
from services.inference.account import Account


def note_account(account: Account) -> None:
    """Counts the call, and has admission learn from it."""
    metrics.count_account(account)
    place = PLACE.get()
    if place is not None:
        place.note(account)
