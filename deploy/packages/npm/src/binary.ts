/** Where the program is. */
import { dirname, join } from "node:path";

/** The package that carries the program for this platform. */
function packageName(): string {
  return `@connvo/profile-projector-${process.platform}-${process.arch}`;
}

/** The program that was installed with this package. */
export function findBinary(): string {
  const name = packageName();
  try {
    return join(dirname(require.resolve(`${name}/package.json`)), "profile-projector");
  } catch {
    throw new Error(
      `${name} is not installed. It is an optional dependency: install without --no-optional, on the ` +
        "platform where the tests run. There is one for Linux with glibc alone; elsewhere, use a container.",
    );
  }
}
