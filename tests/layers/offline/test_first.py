"""The proofs on the seed corpus, which the policy was developed on."""

from tests.layers.offline.proofs import Proofs

CORPUS = "first"


class TestFirst(Proofs):
    corpus, other = CORPUS, "second"
    least_score = 0.78
    least_abstained = 0.6
    most_wrongly_abstained = 0.2
