"""The few words that the book adds around what it includes, in its two languages."""

import re

WORDS = {
    "en": {
        "break": "Break it.", "shows": "What shows it:", "exercise": "Exercise", "step": "Step through this recording",
        "alone": "Open it alone", "other": "По-русски", "title": "The loop",
    },
    "ru": {
        "break": "Сломайте.", "shows": "По чему это видно:", "exercise": "Упражнение", "step": "Пройти эту запись по шагам",
        "alone": "Открыть отдельно", "other": "In English", "title": "Цикл",
    },
}
# The sentences of loopkit/witness.py.
WITNESSES = {
    r"finding (\w+)": ("the doctor's finding `{0}`", "находка доктора `{0}`"),
    r"client (\w+) fails": ("client {0} does not get its answer", "клиент {0} не получает ответа"),
    r"client (\w+) waits (\d+) ms": ("client {0} waits for {1} ms or more", "клиент {0} ждёт {1} мс или дольше"),
    r"a client waits (\d+) ms": ("a client waits for {0} ms or more", "какой-то из клиентов ждёт {0} мс или дольше"),
    r"a client connects after (\d+) ms": ("a client is connected after {0} ms or more", "соединение клиента появляется через {0} мс или позже"),
    r"(\d+) MiB are held": ("{0} MiB or more are read and not yet sent", "{0} МиБ или больше прочитано и ещё не отправлено"),
    r"p95 below (\d+) ms": ("95 % of the requests take less than {0} ms", "95 % запросов занимают меньше {0} мс"),
    r"a process is left": ("a process goes on after the end", "после конца остаётся работающий процесс"),
}


def witness(words, language):
    for pattern, texts in WITNESSES.items():
        if match := re.fullmatch(pattern, words):
            return texts[language == "ru"].format(*match.groups())
    return f"`{words}`"
