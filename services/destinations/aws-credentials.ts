/**
 * Whose hand writes: a key pair of the configuration or AWS's standard chain, and on top of either an
 * assumed role with external id. Role credentials are kept for the process until shortly before they end.
 */
import { fromNodeProviderChain, fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import type { CredentialRef, Io, ResolveCredential } from "../sync/ports.ts";
import { awsError } from "./aws-errors.ts";
import { type AwsCredentials, type AwsSite, publicEndpoint, requestHandler } from "./aws-transport.ts";

export interface AwsIdentity {
  readonly accessKey?: { readonly id: CredentialRef; readonly secret: CredentialRef } | undefined;
  readonly assumeRole?:
    | {
        readonly arn: string;
        readonly externalId?: CredentialRef | undefined;
        readonly sessionName?: string | undefined;
      }
    | undefined;
}

export interface CredentialSource {
  get(): Promise<AwsCredentials>;
  /** Forgets what is kept, after AWS has called it expired. */
  refresh(): void;
}

const BEFORE_EXPIRY_MS = 5 * 60_000;
const KEPT_ROLES = 500;
const roles = new Map<string, AwsCredentials>();
let chain: (() => Promise<AwsCredentials>) | undefined;

/**
 * Where the calls of one destination find their credentials; resolved when first asked for. The standard
 * chain's own look-ups (environment, profile, web identity, container and instance endpoints) are the SDK's.
 */
export function credentialSource(
  identity: AwsIdentity,
  site: AwsSite,
  credential: ResolveCredential,
  io: Io,
): CredentialSource {
  const { assumeRole } = identity;
  if (assumeRole === undefined) {
    return {
      get: () => baseCredentials(identity, credential),
      refresh: () => {
        chain = undefined;
      },
    };
  }
  const externalId = () => (assumeRole.externalId === undefined ? null : credential(assumeRole.externalId));
  const key = () => roleKey(identity, site, credential, io);
  return {
    async get() {
      const kept = roles.get(key());
      if (kept !== undefined && stillGood(kept)) return kept;
      const base = await baseCredentials(identity, credential);
      const id = externalId();
      const assume = fromTemporaryCredentials({
        masterCredentials: base,
        params: {
          RoleArn: assumeRole.arn,
          RoleSessionName: assumeRole.sessionName ?? "branchline",
          ...(id === null ? {} : { ExternalId: id.reveal() }),
        },
        clientConfig: {
          region: site.region,
          endpoint: site.stsEndpoint ?? publicEndpoint("sts", site.region),
          maxAttempts: 1,
          retryMode: "standard",
          defaultsMode: "standard",
          useFipsEndpoint: false,
          useDualstackEndpoint: false,
          requestHandler: requestHandler(io),
        },
      });
      const fresh = await assume().catch((thrown: unknown) => {
        throw awsError(thrown, "AssumeRole", false);
      });
      keep(key(), fresh);
      return fresh;
    },
    refresh: () => void roles.delete(key()),
  };
}

async function baseCredentials(
  { accessKey }: AwsIdentity,
  credential: ResolveCredential,
): Promise<AwsCredentials> {
  if (accessKey !== undefined) {
    return {
      accessKeyId: credential(accessKey.id).reveal().trim(),
      secretAccessKey: credential(accessKey.secret).reveal().trim(),
    };
  }
  chain ??= fromNodeProviderChain({ maxRetries: 1, timeout: 2_000 });
  return chain();
}

/** Same role, same caller, same external id. Holds keyed hashes, never a credential. */
function roleKey(identity: AwsIdentity, site: AwsSite, credential: ResolveCredential, io: Io): string {
  const { accessKey, assumeRole } = identity;
  const refs = [accessKey?.id, accessKey?.secret, assumeRole?.externalId];
  const prints = refs.map((ref) => (ref === undefined ? null : io.fingerprint(credential(ref))));
  return JSON.stringify([site.region, site.stsEndpoint, assumeRole?.arn, assumeRole?.sessionName, ...prints]);
}

const stillGood = ({ expiration }: AwsCredentials): boolean =>
  expiration === undefined || expiration.getTime() - Date.now() > BEFORE_EXPIRY_MS;

function keep(key: string, credentials: AwsCredentials): void {
  roles.delete(key);
  roles.set(key, credentials);
  const oldest = roles.keys().next().value;
  if (roles.size > KEPT_ROLES && oldest !== undefined) roles.delete(oldest);
}
