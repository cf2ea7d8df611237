/** The stand-in of AWS as a destination of an installation by hand. */
import { AWS_DEFAULTS } from "../../infra/sandbox/aws.ts";
import { awsSecretsManager } from "../../services/destinations/aws-secrets-manager.ts";
import type { HandOptions } from "./hand.ts";

/** Under the name "aws". `account`: the one that is expected there. */
export function atAws(
  url: string,
  account: string = AWS_DEFAULTS.account,
): Required<Pick<HandOptions, "vendors" | "credentials">> {
  const { region, accessKeyId, secretAccessKey } = AWS_DEFAULTS;
  const block = {
    account,
    region,
    accessKey: { id: "env:ID", secret: "env:SECRET" },
    endpoint: url,
    stsEndpoint: url,
    privateNetwork: true,
  };
  return {
    vendors: { aws: { adapter: awsSecretsManager, block } },
    credentials: { "env:ID": accessKeyId, "env:SECRET": secretAccessKey },
  };
}
