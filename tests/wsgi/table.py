def write(path, out, tests, rows):
    raise NotImplementedError
