// Run pytest in CPython compiled to WebAssembly: REPOSITORY SITE-PACKAGES [pytest's arguments].
// The module `pyodide` is found beside this file.
import { loadPyodide } from "pyodide";

const [repository, site, ...pytestArguments] = process.argv.slice(2);
const pyodide = await loadPyodide();
for (const [here, there] of [[repository, "/repository"], [site, "/site"]]) {
  pyodide.FS.mkdir(there);
  pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: here }, there);
}
pyodide.globals.set("pytest_arguments", pytestArguments);
const status = pyodide.runPython(`
import os, sys

sys.path[:0] = ["/site", "/repository/packages/parsers/src"]
sys.dont_write_bytecode = True
os.environ["CI"] = "true"
os.chdir("/repository")
print("    " + sys.version, sys.platform, flush=True)

import pytest

int(pytest.main(pytest_arguments.to_py()))
`);
process.exit(status);
