"""Make Freqtrade know the exchange class under the name that it looks for."""


def register() -> None:
    """Put ``Bitopromargin`` where Freqtrade's resolver finds it; doing it twice is harmless.

    Freqtrade would take its generic class for an exchange whose class is missing, without a word.
    Where this Freqtrade lacks something that we stand on, the class refuses to be made, with one
    line: what is raised here, under ``dictConfig``, would end in a traceback, and Freqtrade's
    ``main`` turns even ``SystemExit`` into a success.
    """
    import freqtrade.exchange

    from . import host

    try:
        host.check_classes()
        unsupported = None
    except host.UnsupportedHostError as error:
        unsupported = str(error)

    from .exchange import Bitopromargin

    Bitopromargin.unsupported = unsupported
    freqtrade.exchange.Bitopromargin = Bitopromargin
