"""Make Freqtrade know the exchange class under the name that it looks for."""

import sys


def register() -> None:
    """Put ``Bitopromargin`` where Freqtrade's resolver finds it; doing it twice is harmless.

    Freqtrade would take its generic class for an exchange whose class is missing, without a word.

    :raises SystemExit: with one line, when this Freqtrade lacks something that we stand on.
    """
    import freqtrade.exchange

    from . import host
    from .exchange import Bitopromargin

    try:
        host.check_classes()
    except host.UnsupportedHostError as error:
        # ``dictConfig`` would wrap any other exception, and Freqtrade print its traceback.
        sys.exit(str(error))
    freqtrade.exchange.Bitopromargin = Bitopromargin
