"""Shell text that runs in a sandbox, for any POSIX `sh` with the usual small programs.

A command is started through `LAUNCH`, which sets limits, the environment and the working directory
and then becomes the command. Every process of a command carries its mark in the environment, by
which `KILL` finds the whole tree, daemons included; a process that cleans its environment escapes
`KILL` and ends with `KILL_ALL`. File operations answer with an exit code above `BASE`.
"""

MARK = "TREADLE_SLOT"
"""Variable that names the call a process belongs to."""

BASE = 64
MISSING, IRREGULAR, TOO_LARGE, REFUSED, NO_ROOM = 64, 65, 66, 67, 68
NO_WORKDIR = 69

LAUNCH = f"""
mark=$1 dir=$2 memory=$3 blocks=$4 files=$5 cpu=$6; shift 6
cd -- "$dir" 2>/dev/null || {{ printf %s "$mark" >&2; exit {NO_WORKDIR}; }}
ulimit -c 0; ulimit -v "$memory"; ulimit -f "$blocks"; ulimit -n "$files"; ulimit -t "$cpu"
unset OLDPWD; export {MARK}="$mark"
exec "$@"
"""
"""Arguments: mark, folder, limits in KiB, 512-byte blocks, descriptors and seconds, command."""

KILL = f"""
round=0
while [ $round -lt 10 ]; do
  found=
  for process in /proc/[0-9]*; do
    if tr '\\0' '\\n' 2>/dev/null < "$process/environ" | grep -qx "{MARK}=$1"; then
      kill -9 "${{process#/proc/}}" 2>/dev/null && found=1
    fi
  done
  [ -n "$found" ] || exit 0
  round=$((round + 1))
done
exit 1
"""
"""Argument: the mark."""

SIGNAL = f"""
for process in /proc/[0-9]*; do
  if tr '\\0' '\\n' 2>/dev/null < "$process/environ" | grep -qx "{MARK}=$1"; then
    kill "-$2" "${{process#/proc/}}" 2>/dev/null
  fi
done
exit 0
"""
"""Arguments: the mark, a signal's number."""

KILL_ALL = "kill -9 -1; exit 0"

NAME = """
if [ "$1" = -e ]; then
  name=$(printf "$2"; printf x); name=${name%x}; shift 2; set -- "$name" "$@"
fi
"""
"""Begins scripts whose first argument is a path: `-e` and octal escapes, or the path itself."""

READ = f"""
path=$1 limit=$2
[ -e "$path" ] || {{
  [ "${{#path}}" -lt 4096 ] || exit {REFUSED}
  exit {MISSING}
}}
real=$(readlink -f -- "$path") || exit {REFUSED}
case $real in /proc/*|/sys/*) exit {IRREGULAR};; esac
[ -f "$path" ] || exit {IRREGULAR}
size=$(wc -c < "$path") || exit {REFUSED}
[ "$size" -le "$limit" ] || exit {TOO_LARGE}
exec head -c "$((limit + 1))" -- "$path"
"""
"""Arguments: path, limit. The bytes on standard output, one more than the limit at most."""

WRITE = f"""
path=$1 mode=$2
case $path in /*) ;; *) exit {REFUSED};; esac
parent=${{path%/*}}
mkdir -p -- "${{parent:-/}}" 2>/dev/null || exit {REFUSED}
if [ -e "$path" ]; then
  real=$(readlink -f -- "$path") || exit {REFUSED}
  case $real in /proc/*|/sys/*) exit {IRREGULAR};; esac
  [ -f "$path" ] || exit {IRREGULAR}
fi
cat > "$path" || exit {REFUSED}
chmod "$mode" "$path" || exit {REFUSED}
"""
"""Arguments: absolute path, mode in octal. The bytes on standard input."""

LIST = f"""
[ -e "$1" ] || exit {MISSING}
[ -d "$1" ] || exit {IRREGULAR}
cd -- "$1" || exit {REFUSED}
exec find . -type f -exec sh -c 'for file do row=$(stat -c "%a %s" -- "$file") &&
printf "%s %s\\0" "$row" "$file"; done; :' sh {{}} + 2>/dev/null
"""
"""Argument: folder. `MODE SIZE ./PATH` and a NUL byte for each file."""

ARCHIVE = f"""
[ -e "$1" ] || exit {MISSING}
if [ -d "$1" ]; then cd -- "$1" && exec tar -cf - .; fi
[ -f "$1" ] || exit {IRREGULAR}
cd -- "$(dirname -- "$1")" && exec tar -cf - -- "$(basename -- "$1")"
"""
"""Argument: path. A tar archive on standard output."""

EXTRACT = f"""
mkdir -p -- "$1" || exit {REFUSED}
cd -- "$1" || exit {REFUSED}
exec tar -xof -
"""
"""Argument: folder. A tar archive on standard input, checked before."""

COUNT = """
cd -- "$1" && find . -type f | wc -l && du -sk . | cut -f1
"""
"""Argument: folder. The number of files, then their size in KiB."""

PREPARE = """
mkdir -p -- "$1" && cd -- "$1" && [ -w . ]
"""
"""Argument: the working directory, made when it isn't there."""

CALLS = "/tmp/.treadle"
"""Folder of the running calls of sessions."""

KEEP_WORDS = f"""
mkdir -p -- {CALLS} && cat > {CALLS}/"$1.words" || exit {NO_ROOM}
"""
"""Argument: name of the call. `exec` and its quoted words on standard input."""

KEEP_SCRIPT = f"""
mkdir -p -- {CALLS} && cat > {CALLS}/"$1" || exit {NO_ROOM}
"""
"""Argument: name of the call. The script on standard input."""

SHOW = f"""
cat -- {CALLS}/"$1.$2" 2>/dev/null
exit 0
"""
"""Arguments: name of the call, `out` or `err`."""

FORGET = f"rm -f -- {CALLS}/$1 {CALLS}/$1.out {CALLS}/$1.err"

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OWN_NAMES = "unset read command builtin printf cat eval set trap exit exec"

SESSION = f"""
if command -v bash >/dev/null 2>&1; then shell=bash; else shell=sh; fi
exec "$shell" -c 'exec 9>&1 8<&0 >/dev/null 2>&1 </dev/null
POSIXLY_CORRECT=y
while :; do
  unset -f {_OWN_NAMES} || :
  IFS= read -r treadle_call <&8 || exit
  treadle_script=$(PATH={_PATH}; cat {CALLS}/"$treadle_call")
  unset POSIXLY_CORRECT
  eval "$treadle_script" \\
    >{CALLS}/"$treadle_call.out" 2>{CALLS}/"$treadle_call.err" </dev/null 8<&- 9>&-
  treadle_code=$?
  POSIXLY_CORRECT=y
  unset -f {_OWN_NAMES} || :
  (: "${{treadle_unset?$treadle_code}}") 2>&9
done'
"""
"""Reads names of calls; writes an exit code a line.

Between calls the shell is in its POSIX mode, in which a function can't stand for `unset`, `eval` or
`set`, and forgets functions of the names it uses: what a script redefines doesn't change its
report. The code is reported by the message about a variable that isn't set, which no builtin that
could be disabled takes part in; it stands behind the last colon.
"""

FRESH = """
if command -v bash >/dev/null 2>&1; then exec bash -c "$1"; else exec sh -c "$1"; fi
"""
"""Argument: shell text."""

IS_FOLDER = '[ -d "$1" ]'
"""Argument: path."""
