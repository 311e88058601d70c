"""What a control is: one call under ``/_sandbox``, declared once."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from . import defaults
from .state import Kind

if TYPE_CHECKING:
    from .app import Parts

Json = dict[str, object]
Amounts = dict[str, Decimal]


class Control(BaseModel):
    """A control call: its route, its fields, what it does.

    The docstring's first line and the fields are its help; a body that does not fit the fields is
    refused with the field's name. Path parameters and the query are fields like any other.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, coerce_numbers_to_str=True)
    route: ClassVar[str]

    def apply(self, sandbox: Parts) -> Json:
        """Do what is asked, under the exchange's lock; mistakes are ``ValueError``."""
        raise NotImplementedError


class AccountControl(Control):
    """A control about one account: the default one unless named."""

    account: str | None = None

    @property
    def email(self) -> str:
        """The account's email."""
        return self.account or defaults.EMAIL


class WalletControl(AccountControl):
    """A control about one side of an account."""

    kind: Kind = "margin"
