/** A member for an object literal, or none when there is no value: absent members are left out of the API's JSON. */
export function member<K extends string>(key: K, value: string | null | undefined): { [P in K]?: string } {
  return (value === null || value === undefined ? {} : { [key]: value }) as { [P in K]?: string };
}
