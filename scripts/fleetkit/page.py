def write(trials):
    for s in sorted(trials.record.steps, key=lambda s: s["from"]):
        print(f"{s['from']:7.1f} {s['to']-s['from']:6.1f} {s['name']}: {s['said']}")
