"""What one step of a run records: values, figures, sounds and films.

A step writes below `unfinished/<step>-<process>/` while it runs. Only when it finishes
do its records replace `results/<step>.json` and `report/<step>/`, so that a step that
fails, or of which only the first cells are run again, leaves the results of an earlier,
good run as they were. The same step may run twice at once, in a notebook and by
`avnb run`: each process writes to a folder of its own.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from avnb import files

Entry = dict[str, Any]


def is_main_process() -> bool:
    """Whether this process is the one that writes: launchers set RANK."""
    return os.environ.get("RANK", "0") == "0"


def results_file(run_dir: Path, step: str) -> Path:
    """The file of a finished step's records."""
    return run_dir / "results" / f"{step}.json"


def read_finished(run_dir: Path, step: str) -> dict[str, Any] | None:
    """What a finished step wrote, or None where it has not finished."""
    path = results_file(run_dir, step)
    if not path.is_file():
        return None
    result: dict[str, Any] = files.read_json(path)
    return result if result.get("finished") else None


def select_values(entries: list[Entry]) -> dict[str, Any]:
    """The single values and tables among a step's entries: name -> plain JSON."""
    return {e["name"]: e["value"] for e in entries if e["kind"] == "value"}


class StepRecords:
    """The entries of one step, and their files.

    Args:
        run_dir: the folder of the run.
        step: the step's name, stepN_name.
    """

    def __init__(self, run_dir: Path, step: str) -> None:
        self.run_dir, self.step = run_dir, step
        self.entries: list[Entry] = []
        self.finished = False
        self.draft = run_dir / "unfinished" / f"{step}-{os.getpid()}"
        if is_main_process():
            self._delete_old_drafts()

    def add_value(
        self, name: str, value: Any, caption: str = "", source: str = ""
    ) -> None:
        """Keep a value; one of the same name is replaced.

        Args:
            name: the name by which a later step reads it.
            value: what `files.to_jsonable` takes.
            caption: what stands above it in the report.
            source: what it was computed from, where that is not the data of this run.
        """
        entry = {"kind": "value", "name": name, "value": files.to_jsonable(value)}
        about = {"caption": caption, "source": source}
        self._add(entry | {key: text for key, text in about.items() if text})

    def add_media(
        self, kind: str, name: str, suffix: str, content: bytes, caption: str
    ) -> None:
        """Keep a file for the report; one of the same kind and name is replaced.

        Args:
            kind: "figure", "audio" or "video".
            name: what it is called in the report.
            suffix: of the file, such as ".png".
            content: the bytes of the file.
            caption: what stands below it.
        """
        file = self._name_file(kind, name, suffix)
        if is_main_process():
            folder = self._report if self.finished else self.draft
            files.write_bytes(folder / file, content)
        # Where the file will lie when the step has finished. The path is relative, so
        # that the folder of the run can be moved.
        path = f"report/{self.step}/{file}"
        self._add({"kind": kind, "name": name, "file": path, "caption": caption})

    def save(self, about: Mapping[str, Any]) -> None:
        """Write the entries, with what is to be said about the step."""
        if not is_main_process():
            return
        content = {**about, "finished": self.finished, "entries": self.entries}
        if self.finished:
            files.write_json(results_file(self.run_dir, self.step), content)
        else:
            files.write_json(self.draft / "results.json", content)

    def publish(self) -> None:
        """Let the files of this run of the step take the place of those before."""
        if is_main_process() and not self.finished and self.draft.is_dir():
            # `save` writes the records to results/ next; no second copy is wanted.
            (self.draft / "results.json").unlink(missing_ok=True)
            # A folder can be renamed only to a name that no folder with files has.
            shutil.rmtree(self._report, ignore_errors=True)
            self._report.parent.mkdir(parents=True, exist_ok=True)
            self.draft.replace(self._report)
        self.finished = True

    def _name_file(self, kind: str, name: str, suffix: str) -> str:
        """A file's name that no other entry has."""
        # A name is free text: a slash in it would lead into another folder.
        safe = re.sub(r"[^\w-]+", "_", name)
        taken = {
            Path(entry["file"]).name.lower()
            for entry in self.entries
            if "file" in entry and (entry["kind"], entry["name"]) != (kind, name)
        }
        # "a b" and "a_b" would share a file, and on some disks so would "a" and "A".
        while (file := f"{kind}_{safe}{suffix}").lower() in taken:
            safe += "_"
        return file

    @property
    def _report(self) -> Path:
        return self.run_dir / "report" / self.step

    def _delete_old_drafts(self) -> None:
        """Delete the drafts of this process, and of processes that have ended."""
        for draft in self.draft.parent.glob(f"{self.step}-*"):
            number = draft.name.removeprefix(f"{self.step}-")
            # What has no process's number there is no draft, such as a reader's copy.
            if not re.fullmatch(r"[0-9]{1,9}", number):
                continue
            # Numbers of this machine: two machines must not share a run's folder.
            if draft == self.draft or not psutil.pid_exists(int(number)):
                shutil.rmtree(draft, ignore_errors=True)

    def _add(self, entry: Entry) -> None:
        # In its old place: a cell that is run again does not move what it records.
        keys = [(old["kind"], old["name"]) for old in self.entries]
        if (key := (entry["kind"], entry["name"])) in keys:
            self.entries[keys.index(key)] = entry
        else:
            self.entries.append(entry)
