/** The ARN of a private CA, taken apart. */
export interface CaArn {
  readonly text: string;
  /** `aws`, `aws-cn`, `aws-us-gov` ... */
  readonly partition: string;
  readonly region: string;
}

const EXAMPLE = 'arn:aws:acm-pca:eu-west-1:123456789012:certificate-authority/12345678-1234-1234-1234-123456789012';

/** Source: AWS, "Amazon Resource Names". Throws an `Error` that says which part is wrong. */
export function parseCaArn(text: string): CaArn {
  const [arn, partition = '', service, region = '', account = '', ...rest] = text.split(':');
  const resource = rest.join(':');
  if (arn !== 'arn' || resource === '') throw new Error(`has to be the ARN of a private CA, such as ${EXAMPLE}`);
  if (!/^aws(-[a-z]+)*$/.test(partition)) throw new Error(`has no AWS partition after "arn:", such as aws or aws-cn`);
  if (service !== 'acm-pca') {
    throw new Error(`is of service "${service}", a private CA is of acm-pca: aws acm-pca list-certificate-authorities`);
  }
  if (!/^[a-z]+(-[a-z]+)+-\d+$/.test(region)) throw new Error('has no region, such as eu-west-1');
  if (!/^\d{12}$/.test(account)) throw new Error('has no account of 12 digits');
  const [kind, id = '', more] = resource.split('/');
  if (kind !== 'certificate-authority' || !/^[0-9A-Fa-f-]{36}$/.test(id)) {
    throw new Error(`has to end with certificate-authority/ and the id of the CA, such as ${EXAMPLE}`);
  }
  if (more !== undefined) throw new Error('is of something in the CA; leave out what comes after its id');
  return { text, partition, region };
}

/** DNS suffixes. Source: partitions of the AWS SDKs. */
const SUFFIXES: Readonly<Record<string, string>> = {
  aws: 'amazonaws.com',
  'aws-us-gov': 'amazonaws.com',
  'aws-cn': 'amazonaws.com.cn',
  'aws-eusc': 'amazonaws.eu',
  'aws-iso': 'c2s.ic.gov',
  'aws-iso-b': 'sc2s.sgov.gov',
  'aws-iso-e': 'cloud.adc-e.uk',
  'aws-iso-f': 'csp.hci.ic.gov',
};

/** Where the CA is called, from its ARN alone; `undefined` in a partition that is not known here. */
export function endpointOf({ partition, region }: CaArn): string | undefined {
  const suffix = SUFFIXES[partition];
  return suffix === undefined ? undefined : `https://acm-pca.${region}.${suffix}`;
}

/** The default template: digitalSignature and keyEncipherment, server and client authentication, subject and SANs of the CSR. Source: AWS Private CA, "template definitions". */
export function leafTemplateOf({ partition }: CaArn): string {
  return `arn:${partition}:acm-pca:::template/EndEntityCertificate/V1`;
}
