"""The proofs on the second corpus, which was written without sight of the policy."""

from tests.layers.offline.proofs import Proofs

CORPUS = "second"


class TestSecond(Proofs):
    corpus, other = CORPUS, "first"
    least_score = 0.55
    least_abstained = 0.66
    most_wrongly_abstained = 0.35
