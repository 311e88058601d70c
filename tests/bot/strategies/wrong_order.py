from freqtrade.strategy import IStrategy

from bitopro_margin_ext import EmergencyCancelMixin


class WrongOrder(IStrategy, EmergencyCancelMixin):
    """The mixin stands behind, where nothing of it is ever called."""
