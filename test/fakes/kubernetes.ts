// The cluster of the tests is the one of the demo: a stand-in that only tests knew could drift from what users see.
export { startKubernetes, type Kubernetes } from "../../cli/demo/kubernetes.ts";
