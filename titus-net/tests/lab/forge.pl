# Sends forged answers of the kernel to the netlink socket of the process PID, as fast as it can, until killed.
use strict;
use warnings;
$| = 1;
my ($pid) = @ARGV;
my ($af_netlink, $sock_raw) = (16, 3);
socket(my $socket, $af_netlink, $sock_raw, 0) or die "socket: $!";
my $to = pack("S S L L", $af_netlink, 0, $pid, 0);
my @forged;
for my $sequence (0 .. 20) {
    # An acknowledgement, a refusal, a link called eth0 with index 1, an end of list, an overrun, rubbish.
    push @forged, pack("L S S L L l", 20, 2, 0, $sequence, $pid, 0) . "\0" x 16;
    push @forged, pack("L S S L L l", 36, 2, 0, $sequence, $pid, -13) . "\0" x 16;
    push @forged, pack("L S S L L", 32 + 12, 16, 0, $sequence, $pid) . pack("C C S l L L", 0, 0, 1, 1, 0, 0)
        . pack("S S a8", 9, 3, "eth0\0");
    push @forged, pack("L S S L L l", 20, 3, 2, $sequence, $pid, 0);
    push @forged, pack("L S S L L", 16, 4, 0, $sequence, $pid);
    push @forged, pack("L S S L L", 4000, 16, 0, $sequence, $pid) . "\xff" x 3984;
    push @forged, pack("L", 7) . "\xff" x 9;
}
print "ready\n";
while (1) {
    send($socket, $_, 0, $to) for @forged;
}
