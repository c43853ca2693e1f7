/** Every way asking AWS Private CA goes wrong, as one sentence with its remedy, and where it helps the text to paste. Pure. */
import { CaError, type CaErrorCode } from '../backend.ts';
import { AwsError } from './api.ts';
import type { CaArn } from './arn.ts';
import type { Order } from './order.ts';

/** What a sentence may name. */
export interface Subject {
  readonly mesh: string;
  readonly backend: string;
  readonly arn: CaArn;
}

interface Remedy {
  readonly code: CaErrorCode;
  readonly reason: string;
  readonly sentence: string;
  readonly fix?: string;
  /** Of `conf`. */
  readonly field?: string;
}

/** A call that failed, `doing` such as `issue a certificate`. What is a `CaError` already gets the subject. */
export function callProblem(subject: Subject, error: unknown, doing: string): unknown {
  const where = `backend "${subject.backend}" of mesh ${subject.mesh}: ${doing}`;
  if (error instanceof AwsError) {
    const { code, sentence, ...rest } = remedyFor(subject, error);
    const said = error.message === '' ? '' : ` (${error.type}: ${error.message})`;
    return new CaError(code, `${where}: ${sentence}${said}`, { ...rest, cause: error });
  }
  if (!(error instanceof CaError)) return error;
  const { code, reason, message, fix, field } = error;
  return new CaError(code, `${where}: ${message}`, {
    reason,
    cause: error,
    ...(fix !== undefined && { fix }),
    ...(field !== undefined && { field }),
  });
}

/** True when AWS wants fewer calls. Source: AWS SDKs, "retry behavior", throttling errors. */
export function isThrottling(error: unknown): boolean {
  return error instanceof AwsError && (error.status === 429 || THROTTLING.test(error.type));
}

const THROTTLING = /^(Throttl|TooManyRequests|RequestLimitExceeded|RequestThrottled|SlowDown|BandwidthLimit)/;

/** Sources: AWS Private CA API reference, errors of IssueCertificate and GetCertificate; "Common Errors" of AWS. */
function remedyFor(subject: Subject, error: AwsError): Remedy {
  const { region } = subject.arn;
  if (isThrottling(error)) {
    return {
      code: 'throttled',
      reason: 'Throttled',
      sentence: `AWS allows no more calls a second now; it is asked again, more slowly. The quota of the account in ${region} is shared with all who use it: Service Quotas, "AWS Private CA"`,
    };
  }
  switch (error.type.replace(/Exception$/, '')) {
    case 'AccessDenied':
    case 'NotAuthorized':
    case 'UnauthorizedOperation':
      return {
        code: 'forbidden',
        reason: 'AccessDenied',
        field: 'auth',
        sentence: 'AWS does not allow that to these credentials; give them the IAM policy below',
        fix: iamPolicy(subject),
      };
    case 'ExpiredToken':
    case 'RequestExpired':
      return {
        code: 'forbidden',
        reason: 'CredentialsExpired',
        field: 'auth',
        sentence:
          'the credentials have expired; give new ones (conf.auth.awsCredentials, or the role of the control plane)',
      };
    case 'UnrecognizedClient':
    case 'InvalidClientTokenId':
    case 'InvalidAccessKeyId':
    case 'MissingAuthenticationToken':
      return {
        code: 'forbidden',
        reason: 'CredentialsUnknown',
        field: 'auth',
        sentence:
          'AWS does not know the access key; correct conf.auth.awsCredentials.accessKey, or the role of the control plane',
      };
    case 'InvalidSignature':
    case 'SignatureDoesNotMatch':
    case 'IncompleteSignature':
    case 'AuthFailure':
    case 'RequestTimeTooSkewed':
      return signatureRemedy(error);
    case 'ResourceNotFound':
      return {
        code: 'not-configured',
        reason: 'CaNotFound',
        field: 'arn',
        sentence: `there is no such CA in ${region}; take the ARN of one that is there, or share that of another account with AWS RAM`,
        fix: `aws acm-pca list-certificate-authorities --region ${region}\n`,
      };
    case 'InvalidArn':
      return {
        code: 'not-configured',
        reason: 'InvalidArn',
        sentence: 'AWS takes conf.arn for no ARN of a private CA',
      };
    case 'InvalidState':
      return {
        code: 'not-configured',
        reason: 'CaNotActive',
        field: 'arn',
        sentence: 'the CA does not sign in the state it is in; see what state that is',
        fix: `aws acm-pca describe-certificate-authority --region ${region} --certificate-authority-arn ${subject.arn.text}\n`,
      };
    case 'LimitExceeded':
      return {
        code: 'denied',
        reason: 'QuotaReached',
        field: 'arn',
        sentence:
          'the CA has given all certificates its quota allows; have the quota raised (Service Quotas, "AWS Private CA"), or add a backend with another CA and change to it',
      };
    case 'MalformedCSR':
      return { code: 'invalid-request', reason: 'MalformedCsr', sentence: 'AWS cannot use the certificate request' };
    case 'InvalidArgs':
    case 'Validation':
    case 'ValidationError':
    case 'InvalidRequest':
      return {
        code: 'invalid-request',
        reason: 'RequestRefused',
        sentence:
          'AWS does not take the request; correct the conf of the backend, or the life of its leaves (dpCert.rotation.expiration)',
      };
    case 'RequestFailed':
      return {
        code: 'failed',
        reason: 'IssuanceFailed',
        sentence: 'AWS gave up on this certificate; another one is asked for',
      };
    case 'NoAnswer':
      return error.status >= 500
        ? {
            code: 'unavailable',
            reason: 'ServerError',
            sentence: `answered with status ${error.status}; it is asked again`,
          }
        : {
            code: 'invalid-answer',
            reason: 'InvalidAnswer',
            field: 'endpoint',
            sentence: `what answers (status ${error.status}) is not AWS Private CA; correct conf.endpoint, or what stands in between`,
          };
    default:
      return error.status >= 500
        ? { code: 'unavailable', reason: 'ServerError', sentence: 'AWS has a fault; it is asked again' }
        : { code: 'failed', reason: 'CallFailed', sentence: 'AWS refused the call' };
  }
}

function signatureRemedy({ message }: AwsError): Remedy {
  if (/expired|not yet current|skew/i.test(message)) {
    return {
      code: 'forbidden',
      reason: 'ClockWrong',
      sentence: 'the clock of the control plane is more than five minutes off; set it right (NTP)',
    };
  }
  return {
    code: 'forbidden',
    reason: 'SecretKeyWrong',
    field: 'auth',
    sentence: 'the secret key does not belong to the access key; correct conf.auth.awsCredentials.accessKeySecret',
  };
}

/** A CA that does not sign. Source: AWS Private CA, "CA status". */
export function statusProblem(subject: Subject, status: string): CaError {
  const { sentence, command } = STATUS[status] ?? {
    sentence: `is ${status}`,
    command: 'describe-certificate-authority',
  };
  const { region, text } = subject.arn;
  return new CaError(
    'not-configured',
    `backend "${subject.backend}" of mesh ${subject.mesh}: the CA ${text} ${sentence}`,
    {
      reason: 'CaNotActive',
      field: 'arn',
      fix: `aws acm-pca ${command} --region ${region} --certificate-authority-arn ${text}\n`,
    },
  );
}

const STATUS: Readonly<Record<string, { readonly sentence: string; readonly command: string }>> = {
  DISABLED: { sentence: 'is disabled; enable it', command: 'update-certificate-authority --status ACTIVE' },
  PENDING_CERTIFICATE: {
    sentence: 'has no certificate yet; have its request signed and import the answer',
    command: 'get-certificate-authority-csr --output text',
  },
  CREATING: { sentence: 'is still being made', command: 'describe-certificate-authority' },
  EXPIRED: {
    sentence: 'has expired; sign its request anew, or change to another CA',
    command: 'get-certificate-authority-csr --output text',
  },
  DELETED: { sentence: 'is deleted; restore it', command: 'restore-certificate-authority' },
  FAILED: { sentence: 'could not be made; make another one', command: 'describe-certificate-authority' },
};

/** `conf.caCert` does not lead to the CA: no leaf of it would be trusted, so none is asked for. */
export function wrongBundle(subject: Subject): CaError {
  const { region, text } = subject.arn;
  return new CaError(
    'not-configured',
    `backend "${subject.backend}" of mesh ${subject.mesh}: conf.caCert has no certificate that is above the CA; give the CA's own root, as the command below prints it, or leave caCert out`,
    {
      reason: 'CaCertificateWrong',
      field: 'caCert',
      fix: `aws acm-pca get-certificate-authority-certificate --region ${region} --certificate-authority-arn ${text} --output text\n`,
    },
  );
}

/** A CA whose signatures Envoy cannot check. */
export function unusableKey(subject: Subject, keyAlgorithm: string): CaError {
  return new CaError(
    'not-configured',
    `backend "${subject.backend}" of mesh ${subject.mesh}: the CA has a key of ${keyAlgorithm}, whose signatures Envoy cannot check; use a CA with an RSA or a NIST curve key`,
    { reason: 'UnusableKey', field: 'arn' },
  );
}

export function authorityEnds(subject: Subject, notAfter: number): CaError {
  return new CaError(
    'not-configured',
    `backend "${subject.backend}" of mesh ${subject.mesh}: the CA ends at ${new Date(notAfter).toISOString()}, too soon for another leaf; renew its certificate, or change to another CA`,
    { reason: 'CaEnds', field: 'arn' },
  );
}

/** It is paid for, and not there by the deadline. */
export function pendingProblem(subject: Subject, order: Order, waitedMs: number): CaError {
  return new CaError(
    'timeout',
    `backend "${subject.backend}" of mesh ${subject.mesh}: AWS has not finished ${order.certificateArn} within ${Math.round(waitedMs / 1000)} s; it is fetched later, and not asked for again`,
    { reason: 'IssuancePending' },
  );
}

/** Whether nothing can come of the order any more after this error. What may have been paid for is kept while it can still be fetched. */
export function isFinal(error: CaError, order: Order): boolean {
  if (error.reason === 'IssuanceFailed') return true;
  if (order.certificateArn !== undefined) return error.reason === 'CaNotFound' || error.reason === 'InvalidArn';
  // AWS said no: it has made nothing.
  return error.cause instanceof AwsError && error.cause.status < 500 && error.code !== 'throttled';
}

/** Source: AWS Private CA, "actions, resources, and condition keys". */
function iamPolicy({ arn }: Subject): string {
  const policy = {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: [
          'acm-pca:DescribeCertificateAuthority',
          'acm-pca:GetCertificateAuthorityCertificate',
          'acm-pca:IssueCertificate',
          'acm-pca:GetCertificate',
        ],
        Resource: arn.text,
      },
    ],
  };
  return `${JSON.stringify(policy, null, 2)}\n`;
}
