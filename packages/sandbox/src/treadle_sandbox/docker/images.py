"""Images with the sandbox server: built from the shipped recipe, pulled, or as they are."""

from pathlib import Path
from typing import Any

from docker import errors as docker_errors

from treadle_sandbox.config import DockerConfig
from treadle_sandbox.docker.engine import call, explain, open_engine
from treadle_sandbox.errors import ServerStartError
from treadle_sandbox.images import build_context, recipe


def build_image(
    tag: str,
    *,
    base: str | None = None,
    wheels: Path | None = None,
    requirement: str | None = None,
    dockerfile: Path | None = None,
    context: Path | None = None,
    host: str | None = None,
) -> str:
    """Build an image with the sandbox server; return its id. Blocks.

    `base` is what to start from, for example the image of a task. `wheels` is a folder with the
    wheels of this package and what it needs: pip then asks no index. `dockerfile` and `context`
    replace the shipped recipe.

    Raises:
        ServerStartError: no engine, or the build failed; with the last lines of its log.
    """
    arguments = {"BASE": base, "REQUIREMENT": requirement}
    given = {name: value for name, value in arguments.items() if value is not None}
    engine = open_engine(host)
    try:
        main = dockerfile or recipe("Dockerfile")
        with build_context(main, name="Dockerfile", wheels=wheels, more=context) as folder:
            image, _ = engine.images.build(
                path=str(folder), tag=tag, buildargs=given, rm=True, forcerm=True
            )
    except (docker_errors.BuildError, docker_errors.APIError) as error:
        raise ServerStartError(f"image {tag} can't be built: {explain(error)}") from error
    finally:
        engine.close()
    return str(image.id)


async def ensure_image(engine: Any, config: DockerConfig) -> None:
    """Have the configuration's image in the engine.

    Raises:
        ServerStartError: it isn't there and can't be pulled or built.
    """
    if config.pull != "always" and await _is_there(engine, config.image):
        return
    local = config.image.endswith(":local")
    if local and config.auto_build:
        await call(
            lambda: build_image(
                config.image,
                dockerfile=config.dockerfile,
                context=config.build_context,
                host=config.host,
            ),
            f"build {config.image}",
        )
        return
    if local or config.pull == "never":
        raise ServerStartError(
            f"image {config.image} isn't there: build it (treadle_sandbox.docker.build_image), set "
            "auto_build, or name one that can be pulled"
        )
    try:
        await call(lambda: engine.images.pull(config.image), f"pull {config.image}")
    except ConnectionError as error:
        raise ServerStartError(f"image {config.image} can't be pulled: {error}") from error


async def _is_there(engine: Any, image: str) -> bool:
    def look() -> bool:
        try:
            engine.images.get(image)
        except docker_errors.ImageNotFound:
            return False
        return True

    return await call(look, f"look for {image}")
