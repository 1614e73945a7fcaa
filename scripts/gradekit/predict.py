"""Questions about numbers: a law, or a recording that is made when the question is asked. The seed makes it another question."""

import dataclasses
import math
import random

from labkit import model
from loopkit import language, rungs, show


@dataclasses.dataclass
class Question:
    """What is asked in both languages, the names of the numbers that are wanted, the right ones, the relative and the absolute
    difference that is allowed, and how they come about."""

    text: dict
    wanted: dict
    right: tuple
    relative: float
    absolute: float
    why: dict

    def is_right(self, answer):
        return len(answer) == len(self.right) and all(
            math.isclose(given, right, rel_tol=self.relative, abs_tol=self.absolute) for given, right in zip(answer, self.right))


def ask(name, seed):
    """The question of this exercise for a seed. Those about a recording play a scenario, which takes a second."""
    return QUESTIONS[name](random.Random(f"{name} {seed}"))


def law(chance, servers):
    service = chance.choice([0.1, 0.2, 0.25, 0.4, 0.5])
    think, users = chance.choice([4, 6, 8, 10, 12]), chance.randrange(40, 200, 5)
    found = model.predict(servers, model.Load(users, think, think, service, 1000))
    what = {"en": "One thread serves" if servers == 1 else f"A pool of {servers} threads serves",
            "ru": "Обслуживает один поток" if servers == 1 else f"Обслуживает пул из {servers} потоков"}
    able, asked = servers / service, users / (think + service)
    why = f"m/S = {able:.2f}, N/(Z+S) = {asked:.2f}: X = {found.rate:.2f}, R = max(S, N/X - Z) = {found.response:.2f}"
    return Question(
        {"en": f"{what['en']} N = {users} users, who think for Z = {think} s; the database takes S = {service * 1000:g} ms.",
         "ru": f"{what['ru']}; пользователей N = {users}, раздумья Z = {think} с, база отвечает за S = {service * 1000:g} мс."},
        {"en": "X in requests per second, R in seconds", "ru": "X в запросах в секунду, R в секундах"},
        (found.rate, found.response), 0.03, 0.02, {"en": why, "ru": why})


def predict_law(chance):
    return law(chance, 1)


def predict_pool(chance):
    return law(chance, chance.randrange(2, 9))


def predict_wait(chance):
    stays, after = chance.randrange(600, 1500, 50), chance.randrange(100, 500, 50)
    text = ("# Two clients of one thread.\nfits tcp_singlethread\nA connect, say here\n"
            f"A pause {stays} ms, ask, answer, close\nB wait for here, pause {after} ms, connect, ask, answer, close\n")
    run = played("tcp_singlethread", text)
    waited = next((answered - asked) / 1e6 for client in run.clients if client.name == "B" for asked, answered in client.answers)
    return Question(
        {"en": f"A connects, is silent for {stays} ms, sends a line, gets it back, and leaves. B connects {after} ms after A and "
               "sends a line at once. How long does B wait for it?",
         "ru": f"A соединяется, молчит {stays} мс, присылает строку, получает её обратно и уходит. B соединяется через {after} мс "
               "после A и сразу присылает строку. Сколько B ждёт ответа?"},
        {"en": "milliseconds", "ru": "миллисекунды"}, (waited,), 0.1, 40,
        {"en": f"B is served when A has left: {stays} - {after} = {stays - after} ms; {waited:.0f} ms were measured just now.",
         "ru": f"B обслуживают, когда ушёл A: {stays} - {after} = {stays - after} мс; только что измерено {waited:.0f} мс."})


def predict_turn(chance):
    clients = chance.randrange(4, 9)
    asking, new = chance.randrange(2, clients), chance.choice([0, 2, 3, 4])
    names = [chr(ord("A") + at) for at in range(clients)]
    newcomers = [f"N{chr(ord('A') + at)}" for at in range(new)]
    lines = ["# Clients ask while the loop stands still.", "fits tcp_select", f"{' '.join(names)} connect, ask, answer, wait for all",
             "A wait until accepted, freeze, say still", f"{' '.join(names)} wait for still"]
    lines += [f"{' '.join(newcomers)} wait for still, connect, say there"] if new else []
    lines += [f"{' '.join(names[:asking])} ask", f"{' '.join(names)} wait for all"]
    lines += [f"A {'wait for there, ' if new else ''}thaw", f"{' '.join(names)} answer, wait for all, close"]
    lines += [f"{' '.join(newcomers)} ask, answer, close"] if new else []
    run = played("tcp_select", "\n".join(lines) + "\n")
    stood = run.frozen[0][0] - run.recording.began * 1e9
    returned = next(record.a for record in run.recording.of("Turn") if record.time > stood)
    return Question(
        {"en": f"{clients} clients are connected to tcp_select, which stands still. {asking} of them send a line, and {new} new "
               "clients connect. Then the rung goes on. How many descriptors does its next `select` return?",
         "ru": f"К остановленной программе tcp_select подключены {clients} клиентов. {asking} из них присылают строку, и ещё {new} "
               "новых соединяются. Программа продолжает работу. Сколько дескрипторов вернёт её следующий `select`?"},
        {"en": "descriptors", "ru": "дескрипторы"}, (returned,), 0, 0,
        {"en": f"{asking} sockets are readable" + (", and so is the listener, once" if new else "") + f": {returned}.",
         "ru": f"{asking} — сокеты, готовые к чтению" + (", и ещё один — слушающий" if new else "") + f": {returned}."})


def predict_omission(chance):
    connections, rate, stall = chance.randrange(5, 40, 5), chance.randrange(100, 800, 50), chance.choice([1, 1.5, 2, 3, 4])
    due = rate * stall
    return Question(
        {"en": f"{rate} requests per second are due over {connections} connections; each connection sends the next one after the "
               f"response. The server stands still for {stall} s. How many requests were due in this time and not sent?",
         "ru": f"По расписанию должно уходить {rate} запросов в секунду через {connections} соединений; каждое шлёт следующий после "
               f"ответа. Сервер стоит {stall} с. Сколько запросов за это время должны были уйти и не ушли?"},
        {"en": "requests", "ru": "запросы"}, (due - connections,), 0.02, 1,
        {"en": f"{rate} x {stall} = {due:g} were due, and {connections} were sent, one by each connection.",
         "ru": f"Должны были уйти {rate} x {stall} = {due:g}, а ушли {connections}, по одному на соединение."})


def played(rung, text):
    rungs.build([rungs.Rung(rung)], "recording")
    return show.play(rungs.Rung(rung), language.parse(text, "question"))


QUESTIONS = {"predict_law": predict_law, "predict_pool": predict_pool, "predict_wait": predict_wait, "predict_turn": predict_turn,
             "predict_omission": predict_omission}
