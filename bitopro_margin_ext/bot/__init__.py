"""Freqtrade: the exchange class, the strategy mixin, and the mapping into its database."""
