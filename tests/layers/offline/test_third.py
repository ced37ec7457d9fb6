"""The proofs on the third corpus: written blind, and not looked at while the policy was made. It is the honest figure."""

from tests.layers.offline.proofs import Proofs

CORPUS = "third"


class TestThird(Proofs):
    corpus, other = CORPUS, "first"
    least_score = 0.6
    least_abstained = 0.66
    most_wrongly_abstained = 0.35
