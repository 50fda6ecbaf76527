/** What not every backend can do, as in "the docker backend cannot …". */
export type Ability =
  | "create storage pools"
  | "remove storage pools"
  | "limit the size of a volume"
  | "choose the pool of a container"
  | "change the limits of a container"
  | "list the host's interfaces"
  | "form a cluster";
