"""Zachary's karate club, which networkx bundles, turned into its ties and the sides of a few."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

KNOWN = ("Mr Hi", "President", "6", "15", "8", "24", "4", "27")


def write(folder: Path) -> None:
    """Writes `ties.csv` (a, b), `known.csv` (who, stays) of eight, and `others.csv` of the rest."""
    import networkx as nx

    club = nx.karate_club_graph()
    word = {0: "Mr Hi", 33: "President"} | {k: str(k + 1) for k in range(1, 33)}
    ties = pd.DataFrame([(word[a], word[b]) for a, b in club.edges], columns=["a", "b"])
    ties.to_csv(folder / "ties.csv", index=False)
    sides = pd.DataFrame(
        [(word[k], club.nodes[k]["club"] == "Officer") for k in club], columns=["who", "stays"]
    )
    is_known = sides["who"].isin(KNOWN)
    sides[is_known].to_csv(folder / "known.csv", index=False)
    sides[~is_known].to_csv(folder / "others.csv", index=False)
