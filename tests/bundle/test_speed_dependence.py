"""Dependence on how fast a model runs, by its source."""

import ast

import pytest

from runner.bundle.speed_dependence import clock_loops, ending_orders

DEPENDING = """
def w():
    r=[]
    for f in as_completed(fs):
        r.append(f.result())

def w():
    total = 0.0
    for f in concurrent.futures.as_completed(fs):
        try:
            x = f.result()
        except ValueError:
            raise
        total += x

def w():
    return [f.result() for f in tqdm(as_completed(fs), total=3)]

def w():
    return list(pool.imap_unordered(f, xs))

async def w():
    done, pending = await asyncio.wait(ts)
    out = []
    for d in done: out.append(d.result())

async def w():
    out = np.zeros(3)
    for d in asyncio.as_completed(ts): out += await d

end = time.perf_counter() + 2
while time.perf_counter() < end:
    best = max(best, r())

def w():
    start = time.time()
    while True:
        step()
        if time.time() - start > 2:
            break

def w():
    start = time.monotonic()
    while time.monotonic() - start < 2: n += 1

def w():
    t0 = time.time(); elapsed = 0
    while True:
        n += 1
        elapsed = time.time() - t0
        if elapsed > limit: return n

with Pool() as p:
    for x in p.imap_unordered(f, xs): res.append(x)

def w():
    total = 0.0
    for one in as_completed(fs):
        total = total * 1.1 + one.result()
"""
CAREFUL = """
def w():
    r={}
    for f in as_completed(fs):
        r[fs[f]] = f.result()

def w():
    r=[]
    for f in as_completed(fs): r.append(f.result())
    r.sort()

def w():
    r=[]
    for f in as_completed(fs): r.append((fs[f], f.result()))

def w():
    hits = 0
    for f in as_completed(fs): hits += f.result()

def w():
    for f in as_completed(fs):
        try: f.result()
        except ValueError as e: errors.append(str(e))

def w():
    r = pd.concat([f.result() for f in as_completed(fs)]).sort_values("x")

def w():
    done, rest = wait(fs)
    for d in done: d.result()
    return [f.result() for f in fs]

def w():
    for f in as_completed(fs): bar.update(1)
    return [f.result() for f in fs]

def w():
    end = time.time() + 30
    while time.time() < end:
        if p.poll() is not None: break
        time.sleep(.1)

def w():
    start = time.time()
    for i in range(1000):
        step()
        if time.time() - start > 3600: break

def w():
    while not converged and time.time() < end: step()

def w():
    while True:
        step()
        if time.time() - start > 3600: break
        if done: break

def w():
    while t < t_end:
        t += dt
        if time.time() - last > 5: print(t); last = time.time()

def w():
    while True:
        x = q.get(timeout=1)
        if time.time() > end: break

def w(time):
    while time < end: time += dt

def sim():
    while env.now() < 5: env.step()

def sim():
    now = datetime.datetime.now()
    while day < now: day += step

def sim():
    p.wait(); a, b = q.wait()
    for x in b: r.append(x)
"""


def notes(text: str) -> list[str]:
    tree = ast.parse(text)
    return [what for find in (ending_orders, clock_loops) for _, what in find(tree)]


@pytest.mark.parametrize("text", DEPENDING.split("\n\n"))
def test_what_depends_on_how_fast_it_runs_has_a_note(text: str) -> None:
    (note,) = notes(text)
    assert "another each time" in note


@pytest.mark.parametrize("text", CAREFUL.split("\n\n"))
def test_what_is_put_in_order_and_what_only_waits_has_none(text: str) -> None:
    assert notes(text) == []
