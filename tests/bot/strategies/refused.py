from obedient import Guarded


class Shorting(Guarded):
    can_short = True


class Levered(Guarded):
    def leverage(self, pair, current_time, current_rate, proposed_leverage, max_leverage,
                 entry_tag, side, **kwargs):  # fmt: skip
        return 3.0
