// The package ships no types. Only what we use is declared; the tree's fields are what `train` leaves.
declare module "ml-isolation-forest" {
  export interface TreeNode {
    readonly splitColumn?: number;
    readonly splitValue?: number;
    readonly left?: TreeNode;
    readonly right?: TreeNode;
    readonly trainingSet?: readonly (readonly number[])[];
  }

  export class IsolationForest {
    constructor(options?: { readonly nEstimators?: number });
    nEstimators: number;
    forest: TreeNode[];
    trainingSet: readonly (readonly number[])[];
    train(trainingSet: readonly (readonly number[])[]): void;
    predict(data: readonly (readonly (number | undefined)[])[]): number[];
  }
}
