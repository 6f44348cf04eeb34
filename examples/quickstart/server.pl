#!/usr/bin/perl
# A small HTTP server: answers every request with the name of the task that serves it.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
$SIG{TERM} = sub { print "asked to stop\n"; exit 0 };

my $port = shift // 8080;
my $socket = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $port, Listen => 16, ReuseAddr => 1)
    or die "cannot listen on port $port: $!\n";
my $task = $ENV{TITUS_TASK_ID} // 'unknown';
print "task $task listens on port $port\n";

while (1) {
    my $client = $socket->accept or next;
    my $request = <$client> // '';
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    my $body = "hello from task $task at " . $client->sockhost . "\n";
    print $client "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    close $client;
    $request =~ s/\s+$//;
    print "answered $request\n";
}
