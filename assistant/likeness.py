"""Cosines between single words, their vectors remembered."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assistant.embedding import Encoder, Vectors
from assistant.reading import Word

WORD_VECTORS = 20_000


_word_vectors: "OrderedDict[tuple[str, str], Vectors]" = OrderedDict()


def sentence_vector(encoder: Encoder, text: str) -> Vectors:
    """The unit vector of a sentence, remembered like a word's."""
    return WordVectors(encoder).of(text)


@dataclass(frozen=True, slots=True)
class WordVectors:
    """The vectors of single words, remembered for as long as there is room."""

    encoder: Encoder

    def of(self, word: str) -> Vectors:
        """The unit vector of a word, shape (dimension,)."""
        key = (self.encoder.weights, word)
        vector = _word_vectors.get(key)
        if vector is None:
            vector = self.encoder.encode_query(word)
            _word_vectors[key] = vector
            while len(_word_vectors) > WORD_VECTORS:
                try:
                    _word_vectors.popitem(last=False)
                except KeyError:  # another thread was quicker
                    break
        return vector

    def cosines(self, some: Sequence[Word], others: Sequence[Word]) -> Vectors:
        """The cosine of each word to each other one, shape (words, other words)."""
        if not some or not others:
            return np.zeros((len(some), len(others)), dtype=np.float32)
        left = np.stack([self.of(word.text) for word in some])
        right = np.stack([self.of(word.text) for word in others])
        return (left @ right.T).astype(np.float32)
