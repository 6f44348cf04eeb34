# Sends one raw frame: frame.pl INTERFACE-INDEX FRAME-IN-BASE-16
use strict;
use warnings;
my ($index, $hex) = @ARGV;
my $frame = pack("H*", $hex);
$frame .= "\0" x (60 - length $frame) if length $frame < 60;
my ($af_packet, $sock_raw) = (17, 3);
socket(my $socket, $af_packet, $sock_raw, 0) or die "socket: $!";
my $address = pack("S n i S C C a8", $af_packet, 0, $index, 0, 0, 6, substr($frame, 0, 6) . "\0\0");
send($socket, $frame, 0, $address) or die "send: $!";
