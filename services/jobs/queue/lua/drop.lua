-- ARGV: member, 1 to forget it though a worker has it.
if ARGV[2] ~= '1' and redis.call('HEXISTS', 'seqway:owners', ARGV[1]) == 1 then return 0 end
redis.call('HDEL', 'seqway:owners', ARGV[1])
return redis.call('ZREM', 'seqway:out', ARGV[1])
