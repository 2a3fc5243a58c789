#!/usr/bin/env python3
"""Makes the header of a message file, as the message compiler of Windows does: one #define per message, with severity, facility and code in place.

usage: message_compiler.py FILE.mc HEADER

Texts become comments: nobody looks them up here.
"""
import pathlib
import re
import sys

SEVERITIES = {"Success": 0, "Informational": 1, "Warning": 2, "Error": 3}
FACILITIES = {"System": 0xFF, "Application": 0xFFF}


def main():
    source, header = map(pathlib.Path, sys.argv[1:3])
    text = source.read_bytes()
    text = text.decode("utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1")
    lines = [f"/* Made from {source.name}. */"]
    severities, facilities = dict(SEVERITIES), dict(FACILITIES)
    typedef, last, current = "", 0, {"Severity": "Success", "Facility": "Application"}

    def number_of(kind, names):
        if current[kind] not in names:
            sys.exit(f"{source}: there is no {kind} named '{current[kind]}'; there are {', '.join(names)}")
        return names[current[kind]]

    body = iter(text.splitlines())
    for line in body:
        if line.startswith(";"):
            lines.append(line[1:])
        elif match := re.match(r"\s*(SeverityNames|FacilityNames)\s*=\s*(\(.*)", line, re.I):
            names = match[2]
            while ")" not in names:
                names += next(body)
            for name, value, symbol in re.findall(r"(\w+)\s*=\s*(0x[0-9a-fA-F]+|\d+)(?::(\w+))?", names):
                (severities if match[1].lower() == "severitynames" else facilities)[name] = int(value, 0)
                if symbol:
                    lines.append(f"#define {symbol} {int(value, 0):#x}")
        elif match := re.match(r"\s*MessageIdTypedef\s*=\s*(\w+)", line, re.I):
            typedef = f"({match[1]})"
        elif match := re.match(r"\s*MessageId\s*=\s*(\S*)", line, re.I):
            fields = dict(re.findall(r"(\w+)\s*=\s*(\S+)", line))
            current["Id"] = next_code(fields.get("MessageId", match[1]), last)
            current.pop("SymbolicName", None)
            current.update({name: value for name, value in fields.items() if name in ("Severity", "Facility", "SymbolicName")})
        elif match := re.match(r"\s*(Severity|Facility|SymbolicName)\s*=\s*(\w+)", line, re.I):
            current[{"severity": "Severity", "facility": "Facility", "symbolicname": "SymbolicName"}[match[1].lower()]] = match[2]
        elif re.match(r"\s*Language\s*=", line, re.I):
            said = []
            for part in body:
                if part.strip() == ".":
                    break
                said.append(part.strip())
            last = current["Id"]
            if symbol := current.get("SymbolicName"):
                value = number_of("Severity", severities) << 30 | number_of("Facility", facilities) << 16 | current["Id"]
                comment = " ".join(said).replace("*/", "* /")
                lines += [f"/* {comment} */", f"#define {symbol} ({typedef}0x{value & 0xFFFFFFFF:08X}L)"]
                current.pop("SymbolicName")
    header.parent.mkdir(parents=True, exist_ok=True)
    header.write_text("\n".join(lines) + "\n")


def next_code(written, last):
    if not written:
        return last + 1
    return last + int(written[1:], 0) if written.startswith("+") else int(written, 0)


main()
