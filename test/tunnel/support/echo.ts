/**
 * ICMP echo requests by Perl, which every Debian has and which can open raw sockets. Waits so long for an answer, and again after that, as often as
 * it is told.
 */
const program = `use Socket;
my ($host, $wait, $times) = @ARGV;
socket(my $s, PF_INET, SOCK_RAW, 1) or die "$!";
my $body = "mystnode";
my $sum = 0;
$sum += $_ for unpack("n*", pack("C2n3a8", 8, 0, 0, 7, 1, $body));
$sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
my $packet = pack("C2n3a8", 8, 0, ~$sum & 0xffff, 7, 1, $body);
my $result = "silence";
while ($times != 0) {
  $times--;
  unless (defined send($s, $packet, 0, pack_sockaddr_in(0, inet_aton($host)))) { $result = "$!"; select(undef, undef, undef, $wait) if $times; next; }
  my $bits = "";
  vec($bits, fileno($s), 1) = 1;
  my $left = $wait;
  while ($left > 0) {
    my ($found, $rest) = select(my $ready = $bits, undef, undef, $left);
    last unless $found;
    $left = $rest;
    recv($s, my $got, 1500, 0);
    my ($from) = inet_ntoa(substr($got, 12, 4));
    if (unpack("C", substr($got, 20, 1)) == 0 && $from eq $host) { $result = "open $from"; $left = 0 unless $times; }
  }
}
print $result;
`;

/** A command that asks once: prints "open", "silence" or why it cannot be asked. */
export const echoOnce = (host: string, waitMs: number): [string, string[]] => ["perl", ["-e", program, host, String(waitMs / 1000), "1"]];

/** A command that goes on asking. */
export const echoOnAndOn = (host: string, everyMs: number): [string, string[]] => [
  "perl",
  ["-e", program, host, String(everyMs / 1000), "-1"],
];
