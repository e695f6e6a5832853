"""Long documents with planted facts, and the ways to ask about them."""

import dataclasses
import json
import pathlib
import random
import re

VERSE_MARK = re.compile(r"^[0-9]?[A-Z][A-Za-z]*[0-9]+:[0-9]+ ")
HERE = pathlib.Path(__file__).resolve().parent

COLOURS = (
    "amber azure black bronze brown copper crimson emerald golden green grey ivory orange pink "
    "purple red scarlet silver violet white yellow").split()
THINGS = (
    "anchor basket bicycle bottle camera candle compass dragon engine falcon guitar hammer helmet "
    "kettle ladder lantern mirror museum pencil piano pillow rocket saddle statue tractor umbrella "
    "violin wallet window zebra").split()
FIRST_NAMES = (
    "Agnes Alice Arthur Barbara Brian Carol Dennis Diana Edgar Felix Fiona George Helen Howard "
    "Ingrid Jack Karen Larry Linda Marvin Nancy Oliver Pamela Quentin Robert Sandra Trevor Ursula "
    "Victor Wendy").split()
WORDS = (
    "badger bamboo banana beetle cactus cherry daisy dolphin flamingo giraffe hedgehog kangaroo "
    "lizard lobster mango maple octopus orchid otter panda papaya parrot pelican penguin salmon "
    "spider squirrel tulip turtle walrus").split()
LAST_NAMES = (
    "Anderson Baker Carter Dixon Edwards Fisher Griffin Harper Irving Jackson Keller Larson Morgan "
    "Nelson Owens Parker Quinn Roberts Sullivan Turner Underwood Vaughn Walker Young Zimmerman"
).split()


# What is told of people -> its possible values.
ATTRIBUTES = {
    "was born in the city of": "Lisbon Vienna Toronto Chicago Madrid Dublin Moscow Tokyo",
    "keeps in the cellar a": "tiger crocodile piano telescope motorcycle statue canoe robot",
    "has a dog called": "Biscuit Pepper Rocket Shadow Ginger Bandit Pickle Captain",
    "drives to work in a yellow": "tractor ambulance taxi truck bus van limousine jeep",
    "plays in the orchestra the": "trumpet violin flute harp cello drums clarinet piano",
    "speaks at home only": "Spanish Norwegian Turkish Polish Korean Swedish Hindi Danish",
    "teaches at the university": "geology chemistry botany algebra astronomy history physics law",
    "collects from all over the world": "stamps buttons spoons butterflies maps dolls clocks masks",
    "is most afraid of": "spiders thunder pigeons mirrors clowns elevators balloons snakes",
    "eats for breakfast nothing but": "mango cabbage noodles popcorn pickles chocolate rice eggs",
    "painted the front door": "purple orange silver pink turquoise brown green black",
    "goes swimming every": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday evening",
    "won the first prize for": "pumpkins poetry dancing cooking chess archery roses fishing",
    "hid the key under the": "carpet stove flowerpot pillow barrel ladder bench mattress",
    "sells at the market home-made": "candles soap cheese baskets honey hats bread toys",
    "saw last winter on the hill a": "wolf camel bear ghost fox deer unicorn lion",
    "builds little houses out of": "bamboo matches paper glass mud cork bricks ice",
    "was named after the planet": "Neptune Saturn Venus Mars Jupiter Mercury Uranus Pluto",
    "married a famous": "dentist pilot magician baker lawyer astronaut tailor plumber",
    "lost the wedding ring in a": "volcano swamp theatre bakery library castle tunnel desert",
    "wears on Sundays a hat made of": "straw leather feathers velvet copper wool silk rubber",
    "puts into the tea some": "cinnamon pepper mustard vanilla garlic butter salt lemon",
    "sent to the king a letter about": "bees taxes whales bridges onions windmills dragons ships",
    "learned in the army to": "juggle knit whistle cook dance ski sing type",
}


def generator(*seeds):
    """A random generator of its own for each combination of seeds."""
    return random.Random(" ".join(map(str, seeds)))


@dataclasses.dataclass(frozen=True)
class Fact:
    before: str  # the planted sentence up to its answer
    answer: str
    after: str
    question: str

    @property
    def sentence(self):
        return f"{self.before} {self.answer}{self.after}"


def _things(rng, n):
    return [" ".join(key) for key in zip(rng.choices(COLOURS, k=n), rng.sample(THINGS, n))]


def _people(rng, n):
    return [" ".join(key) for key in zip(rng.sample(FIRST_NAMES, n), rng.choices(LAST_NAMES, k=n))]


def _numbers(rng, n):
    return [str(rng.randrange(10000, 100000)) for _ in range(n)]


def _words(rng, n):
    return rng.sample(WORDS, n)


def _pairs(keys, values, before, question):
    """A kind of key-value facts: other keys and other values in each document."""
    def facts(seed, document, n):
        rng = generator(seed, document, before)
        return [Fact(before.format(key), value, ".", question.format(key))
                for key, value in zip(keys(rng, n), values(rng, n))]
    return facts


def _profiles(seed, document, n):
    """Each fact of another person and attribute: no sentence repeats another's words."""
    rng = generator(seed, document, "profiles")
    return [Fact(f"{person} {attribute}", rng.choice(ATTRIBUTES[attribute].split()), ".",
                 f"What is told of {person}?")
            for person, attribute in zip(_people(rng, n), rng.sample(list(ATTRIBUTES), n))]


def _natural(seed, document, n):
    """Documents of one seed take turns, so that few of them ask every fact equally often."""
    facts = natural_facts()
    generator(seed, "natural").shuffle(facts)
    return [facts[(document * n + i) % len(facts)] for i in range(n)]


def natural_facts():
    """Invented facts whose answers cannot be guessed from the question."""
    entries = json.loads((HERE / "natural_facts.json").read_text(encoding="utf-8"))
    return [Fact(**entry) for entry in entries]


# Kind of facts -> function of (seed, index of the document, n): n different facts, at most 24.
KINDS = {
    "code": _pairs(_things, _numbers, "The access code of the {} is",
                   "What is the access code of the {}?"),
    "pair": _pairs(_things, _numbers, "Item: {}. Price:", "What is the price of the {}?"),
    "person": _pairs(_people, _numbers, "The telephone number of {} is",
                     "What is the telephone number of {}?"),
    "owns": _pairs(_people, _numbers, "{} has the number", "Which number has {}?"),
    "word": _pairs(_things, _words, "The password of the {} is", "What is the password of the {}?"),
    "password": _pairs(_people, _words, "The secret password of {} is",
                       "What is the secret password of {}?"),
    "profile": _profiles,
    "natural": _natural,
}


def text_lines(text):
    """Lines of a text, without empty ones and verse marks such as "Ge1:1 "."""
    lines = (VERSE_MARK.sub("", line.strip()) for line in text.split("\n"))
    return [line for line in lines if line]


def end_margin(n_tokens):
    """Tokens at a document's end without facts: more than any n_local it is read with."""
    return min(4160, max(1152, n_tokens // 7))


def place(n_tokens, n_facts, rng):
    """Ascending token positions: one at random in each of n_facts equal parts of the document."""
    first, last = 64, n_tokens - end_margin(n_tokens)
    part = (last - first) / n_facts
    return [int(first + (i + rng.random()) * part) for i in range(n_facts)]


def make_document(tokenize, lines, facts, n_tokens, start_line, positions, opening=()):
    """Ids of n_tokens tokens: `opening`, then lines from start_line on, with each fact a line of
    its own at the first line end at or after its position. Also where the facts begin."""
    ids, begins, waiting = list(opening), [], list(zip(positions, facts))
    at = start_line
    while len(ids) < n_tokens:
        if waiting and len(ids) >= waiting[0][0]:
            begins.append(len(ids))
            ids += tokenize(waiting.pop(0)[1].sentence + "\n")
        else:
            ids += tokenize(lines[at % len(lines)] + "\n")
            at += 1
    if waiting:
        raise ValueError(f"{n_tokens} tokens hold only {len(begins)} of {len(facts)} facts")
    return ids[:n_tokens], begins


class Asking:
    """How a question is put. `opening` begins the document; question() gives (ids of the question,
    ids of the answer): the question is an append of its own, the answer is what is measured.
      cont    the planted sentence's own beginning, to be continued
      qa      "Question: ... Answer:" and the sentence's beginning
      chat    the chat template, the document first in the user's message, and the same beginning
      plain   chat, the answer with nothing before it
    """

    STYLES = ("cont", "qa", "chat", "plain")

    def __init__(self, model, style):
        self.style, self.model, self.opening = style, model, []
        if style in ("chat", "plain"):
            mark = "MARKUSER"
            rendered = model.render_chat(json.dumps([{"role": "user", "content": mark}]))
            before, after = rendered.split(mark)
            self.opening = model.tokenize(before, parse_special=True)
            self.closing = model.tokenize(after, parse_special=True)
        elif model.info.add_bos:
            self.opening = [model.info.bos_token]

    def question(self, fact):
        tokenize = self.model.tokenize
        if self.style == "cont":
            ids = tokenize("\n" + fact.before)
        elif self.style == "qa":
            ids = tokenize(f"\n\nQuestion: {fact.question}\nAnswer: {fact.before}")
        else:
            ids = tokenize("\n\n" + fact.question) + self.closing
            if self.style == "chat":
                ids += tokenize(fact.before)
        answer = tokenize(fact.answer if self.style == "plain" else " " + fact.answer)
        # A space that is a token of its own, as before digits, tells nothing about the answer.
        while self.model.detokenize(answer[:1]).isspace():
            ids.append(answer.pop(0))
        return ids, answer
