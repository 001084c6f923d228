// A CommonJS program. It ends by itself, although the process that it asked still waits.
import { Person, replay } from "@connvo/profile-projector";

void replay([new Person("ada").registered("user_01ADA")]).then(({ users, parked }) => {
  if (users !== 1 || parked.length !== 0) throw new Error("one user was expected");
  console.log("CommonJS: one user");
});
