"""The language of pages and pictures. Texts are written in English where they are used; RUSSIAN has their translations, and
a text that has none is an error."""

import contextlib
import html
import math

from lib import Trouble

LANGUAGES = ("en", "ru")
_language = "en"

# Verdict → its words in the table, and whether a rung with it is marked.
VERDICTS = {
    "law": ("on the law", False),
    "machine": ("the machine was late", False),
    "generator": ("the generator was late", False),
    "both": ("machine and generator were late", False),
    "chance": ("chance", True),
    "full": ("the queue was full", True),
    "rung": ("the rung itself", True),
}

RUSSIAN = {
    # Verdicts.
    "on the law": "по закону",
    "the machine was late": "опаздывала машина",
    "the generator was late": "опаздывал генератор",
    "machine and generator were late": "опаздывали машина и генератор",
    "chance": "случайность",
    "the queue was full": "очередь была полна",
    "the rung itself": "сама ступень",
    # Pictures.
    "predicted": "по закону",
    "measured": "измерено",
    "seconds": "секунды",
    "Requests per second": "Запросов в секунду",
    "answered": "с ответом",
    "failed": "с ошибкой",
    "Response times": "Время ответа",
    "median": "медиана",
    "p95": "95 %",
    "longest": "наибольшее",
    "Users": "Пользователи",
    "The accept queue": "Очередь accept",
    "clients in it": "клиентов в ней",
    "backlog {}": "backlog {}",
    "Response times by share": "Время ответа по долям",
    "Memory of its own": "Собственная память",
    "MiB": "МиБ",
    "Threads and processes": "Потоки и процессы",
    "threads": "потоки",
    "processes": "процессы",
    "In each second": "За каждую секунду",
    "CPU, ms": "процессор, мс",
    "switches": "переключения",
    "Median response time": "Медиана времени ответа",
    "Users (N)": "Пользователи (N)",
    "Seconds between two requests (Z)": "Секунды между запросами (Z)",
    "Milliseconds of the database (S)": "Миллисекунды базы данных (S)",
    "Backlog": "Длина очереди (backlog)",
    "Response time": "Время ответа",
    "from when it was due": "от времени по расписанию",
    "from when it was sent": "от времени отправки",
    "Gain over one client": "Выигрыш",
    "{} cores": "ядер: {}",
    "clients": "клиенты",
    "Cores in use": "Занято ядер",
    "server": "сервер",
    "generator": "генератор",
    "Threads, until none can be started": "Потоки, пока их можно запускать",
    "MiB of address space allowed": "разрешено адресного пространства, МиБ",
    "Memory of sleeping threads": "Память спящих потоков",
    "{}: {}": "{}: {}",
    # The page.
    "The lab": "Лабораторная",
    "and others": "и другие",
    "{} for a response, or {}: it depends on where the clients wait": "{} на ответ или {}: всё решает то, где ждут клиенты",
    "{}: {} for a response": "{}: {} на ответ",
    "What the law predicts for each rung of the ladder, what was measured, and where the clients waited.":
        "Что закон предсказывает каждой ступени лестницы, что измерено и где ждали клиенты.",
    "All rungs are within 10 % of the law, or the machine and the generator explain the difference.":
        "Все ступени отличаются от закона не больше чем на 10 %, или разницу объясняют машина и генератор.",
    "{} of {} rungs differ from the law by more than 10 %, and neither the machine nor the generator explains it: {}.":
        "Ступеней, которые отличаются от закона больше чем на 10 %, и ни машина, ни генератор этого не объясняют: {} из {} ({}).",
    "users": "пользователей",
    "think time between two requests": "раздумья между запросами",
    "the database": "база данных",
    "none": "нет",
    "backlog": "длина очереди (backlog)",
    "measured in each run": "измеряется каждый запуск",
    "sends the requests": "посылает запросы",
    "The law": "Закон",
    "requests per second": "запросов в секунду",
    "seconds for a response": "секунд на ответ",
    "<i>m</i> threads or processes serve, each of them is busy for <i>S</i> = {} s with a request; <i>N</i> = {} users think for "
    "<i>Z</i> = {} s on average. A rung with few threads serves <i>m</i>/<i>S</i> requests per second and no more. With enough of "
    "them the users are the limit: they send <i>N</i>/(<i>Z</i>+<i>S</i>). All other clients wait in the kernel's accept queue, "
    "where no program sees them.":
        "Обслуживают <i>m</i> потоков или процессов, каждый занят одним запросом <i>S</i> = {} с; <i>N</i> = {} пользователей "
        "думают в среднем <i>Z</i> = {} с. Если потоков мало, ступень обслуживает <i>m</i>/<i>S</i> запросов в секунду и не "
        "больше. Если их достаточно, предел задают пользователи: они посылают <i>N</i>/(<i>Z</i>+<i>S</i>). Остальные клиенты "
        "ждут в очереди accept, в ядре, где ни одна программа их не видит.",
    "Predicted and measured": "Предсказано и измерено",
    "median response": "медиана времени ответа",
    "rung": "ступень",
    "law": "закон",
    "difference": "разница",
    "machine's share": "доля машины",
    "generator's share": "доля генератора",
    "rest": "остаток",
    "verdict": "вывод",
    "any": "любое",
    "queue, mean": "очередь, среднее",
    "memory, MiB": "память, МиБ",
    "CPU per response, ms": "процессор на ответ, мс",
    "switches per response": "переключений на ответ",
    "<b>The machine's share</b>: beside the rung a process sleeps for the database's time, again and again; these sleeps take "
    "longer on a busy machine, and the law is calculated again with their length. <b>The generator's share</b>: requests that "
    "were sent later than they were due, and the generator's computing for each response. <b>The rest</b> is what the rung "
    "itself adds, and chance. The verdict names what explains a difference of more than 10 %.":
        "<b>Доля машины</b>: рядом со ступенью процесс раз за разом спит столько же, сколько отвечает база; на занятой машине он "
        "спит дольше, и закон считается заново с этой длиной. <b>Доля генератора</b>: насколько позже срока отправлены запросы и "
        "сколько генератор вычислял на каждый ответ. <b>Остаток</b> добавляют сама ступень и случайность. Вывод называет то, чем "
        "объясняется разница больше 10 %.",
    "Threads and memory are the largest values that were seen. Memory is PSS: of a page that several processes share, each has "
    "its part. CPU and switches are those of the server's whole life. All figures are in <code>results.csv</code>.":
        "Для потоков и памяти указано наибольшее значение. Память — это PSS: от страницы, общей для нескольких процессов, каждому "
        "засчитана его часть. Процессор и переключения взяты за всю жизнь сервера. Все числа есть в <code>results.csv</code>.",
    "All rungs": "Все ступени",
    "A dot is the measured value, a stroke is the law. The dots of Python are grey.":
        "Точка — измеренное значение, черта — закон. У программ на Python точки серые.",
    "One rung after the other": "Ступень за ступенью",
    "All curves of a rung share one axis of time. The shaded part is the warm-up, which no figure counts. The dashed line is the "
    "law.": "Все кривые ступени имеют общую ось времени. Затенён разгон: он ни в одно число не входит. Пунктиром показан закон.",
    "{} runs with medians from {} to {}; the curves are those of the first run.":
        "Запусков: {}; медианы от {} до {}; кривые показывают первый из них.",
    "How it was run": "Как это запускалось",
    "No request was answered in the measured time.": "За время измерения не получен ни один ответ.",
    "The queue has room for {} clients, and {} need a place. The kernel drops the SYN of a client that finds the queue full, and "
    "the client tries again after 1 s, 3 s and 7 s. The median is {}; one response of twenty takes {} or longer.":
        "В очереди есть место для {} клиентов, а нужно оно {}. SYN клиента, которому места нет, ядро отбрасывает, и клиент "
        "пробует снова через 1, 3 и 7 с. Медиана — {}; один ответ из двадцати занимает {} или больше.",
    "Each request is served in {}. On average {} clients are in the kernel's accept queue, and each of them waits there for {}.":
        "Каждый запрос обслуживается за {}. В очереди accept в среднем {} клиентов, и каждый из них ждёт там {}.",
    "The database takes {}, and the median response {}. The accept queue does not explain that: on average it has {} clients.":
        "База данных отвечает за {}, а медиана ответа — {}. Очередью accept это не объясняется: в ней в среднем {} клиентов.",
    "A request waits for the database only: the median response takes {}. The users send no more than {} requests per second.":
        "Запрос ждёт только базу данных: медиана ответа — {}. Больше {} запросов в секунду пользователи не посылают.",
    "Of the response time, the machine's lateness is {}, the generator's {}.":
        "Во времени ответа {} приходится на опоздания машины и {} на опоздания генератора.",
    "Failed requests: {}.": "Запросов с ошибкой: {}.",
    "The law keeps the rung busy for {} of the time. It knows mean values only: users arrive at random, and chance makes a queue.":
        "По закону ступень занята {} времени. Закон знает только средние: пользователи приходят случайно, и случайность создаёт "
        "очередь.",
    "The generator was busy for {} of the time: these figures show the limit of the generator.":
        "Генератор был занят {} времени: эти числа показывают предел генератора.",
    "The run was interrupted after {} of measuring.": "Запуск прерван через {} измерений.",
    # What the rungs are.
    "one thread, one client at a time": "один поток, один клиент за раз",
    "a thread for every client": "поток на каждого клиента",
    "a pool of threads": "пул потоков",
    "a process for every core, or as many as are asked for": "процесс на каждое ядро или столько, сколько задано",
    "one thread, select(2)": "один поток, select(2)",
    "one thread, our reactor": "один поток, наш реактор",
    "futures on our reactor": "футуры на нашем реакторе",
    "futures on Tokio": "футуры на Tokio",
    "the lab's own, in Python": "программа лабораторной на Python",
    "the lab's pool with the lab's page": "пул лабораторной с её страницей",
    "the lab's processes with the lab's page": "процессы лабораторной с её страницей",
    "the lab's select with the lab's page": "select лабораторной с её страницей",
    # Titles of pictures.
    "{}: requests per second and response times": "{}: запросов в секунду и время ответа",
    "{}: the accept queue": "{}: очередь accept",
    "{}: median response time": "{}: медиана времени ответа",
    "{}, measured and predicted": "{}, измерено и по закону",
    "Threads until none can be started, by address space": "Сколько потоков можно запустить, по адресному пространству",
    "One run, counted from when requests were due, and from when they were sent":
        "Один запуск: время от срока по расписанию и время от отправки",
    "A handler that computes: threads in Rust and in Python": "Обработчик, который вычисляет: потоки в Rust и в Python",
    "One worker of the server, asked without a pause": "Один рабочий процесс сервера, запросы без перерыва",
    "{}: response times by backlog": "{}: время ответа в зависимости от длины очереди",
}
UNITS = {"s": "с", "ms": "мс", "µs": "мкс"}


def choose(language):
    global _language
    _language = language


def language():
    return _language


@contextlib.contextmanager
def speaking(one):
    before = _language
    choose(one)
    try:
        yield
    finally:
        choose(before)


def t(text, *values):
    """The text in the chosen language, with the values in its places."""
    if _language == "ru":
        if text not in RUSSIAN:
            raise Trouble(f"scripts/labkit/words.py has no Russian for {text!r}")
        text = RUSSIAN[text]
    return text.format(*values) if values else text


def number(value, form=""):
    """A number as the language writes it: 44,600 and 0.3, or 44 600 and 0,3."""
    text = format(value, form).replace("-", "−")
    return text.translate({ord(","): "\u00a0", ord("."): ","}) if _language == "ru" else text


def seconds(value, _=None):
    """A time in the unit that suits its size."""
    if math.isnan(value):
        return "-"
    if value == 0:
        return "0"
    for name, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size * 0.9995:
            break
    return f"{number(value / size, '.3g')} {unit(name)}"


def unit(name):
    return UNITS[name] if _language == "ru" else name


def percent(share):
    return f"{100 * share:.0f} %"


def servers(law):
    """The number of threads or processes that serve."""
    return t("any") if math.isinf(law.servers) else f"{law.servers:g}"


def verdict(rung):
    """The verdict in words, and whether it is to be marked."""
    text, marked = VERDICTS[rung.causes.verdict]
    return html.escape(t(text)), marked
