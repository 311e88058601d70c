"""The drill: a real Freqtrade process goes through an emergency on the sandbox exchange."""
