"""An SIR epidemic of agents on a random network, by Starsim."""

import json
from typing import Any

import starsim as ss

CONTACTS = {"baseline": 4, "lockdown": 2}


def simulate(agents: int, beta: float, scenario: str, seed: int, days: int = 100) -> ss.Sim:
    sim = ss.Sim(
        n_agents=agents,
        diseases=ss.SIR(beta=ss.perday(beta), init_prev=0.01, dur_inf=ss.days(10)),
        networks=ss.RandomNet(n_contacts=CONTACTS[scenario]),
        start=ss.days(0),
        dur=ss.days(days),
        dt=ss.days(1),
        rand_seed=seed,
        verbose=0,
    )
    sim.run()
    return sim


def warmup() -> None:
    """Have Starsim compile and read, once for every task, what it does at its first run."""
    simulate(100, 0.1, "baseline", seed=1, days=5)


def run(entrypoint: str, params: dict[str, Any], seed: int) -> dict[str, bytes]:
    results = simulate(**params, seed=seed).results.sir
    prevalence = [float(share) for share in results.prevalence]
    summary = {
        "attack_rate": float(results.cum_infections[-1]) / params["agents"],
        "peak": max(prevalence),
        "peak_day": prevalence.index(max(prevalence)),
    }
    rows = "".join(f"{day},{share:.6f}\n" for day, share in enumerate(prevalence))
    return {
        "summary.json": json.dumps(summary).encode(),
        "epidemic.csv": f"day,prevalence\n{rows}".encode(),
    }
